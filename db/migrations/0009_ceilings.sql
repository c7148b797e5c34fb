CREATE TABLE "storage_changes" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "storage_changes_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"user_id" uuid NOT NULL,
	"bytes" bigint NOT NULL
);
--> statement-breakpoint
CREATE INDEX "storage_changes_user_id_index" ON "storage_changes" USING btree ("user_id");
--> statement-breakpoint
-- What a message takes: the content as it is stored, without what is derived from it for search.
CREATE FUNCTION message_bytes(parts json, metadata json) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN octet_length(parts::text) + coalesce(octet_length(metadata::text), 0);
--> statement-breakpoint
-- Rows of users that are being deleted with everything are not counted.
CREATE FUNCTION count_message_bytes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    INSERT INTO storage_changes (user_id, bytes)
    SELECT user_id, sum(message_bytes(parts, metadata)) FROM added GROUP BY user_id;
  ELSIF TG_OP = 'UPDATE' THEN
    INSERT INTO storage_changes (user_id, bytes)
    SELECT user_id, sum(bytes) FROM (
      SELECT user_id, message_bytes(parts, metadata) AS bytes FROM added
      UNION ALL SELECT user_id, -message_bytes(parts, metadata) FROM removed
    ) AS changed GROUP BY user_id HAVING sum(bytes) <> 0;
  ELSE
    INSERT INTO storage_changes (user_id, bytes)
    SELECT user_id, -sum(message_bytes(parts, metadata)) FROM removed
    WHERE EXISTS (SELECT FROM users WHERE users.id = removed.user_id) GROUP BY user_id;
  END IF;
  RETURN NULL;
END $$;
--> statement-breakpoint
CREATE TRIGGER count_added_messages AFTER INSERT ON messages
REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION count_message_bytes();
--> statement-breakpoint
CREATE TRIGGER count_changed_messages AFTER UPDATE ON messages
REFERENCING OLD TABLE AS removed NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION count_message_bytes();
--> statement-breakpoint
CREATE TRIGGER count_removed_messages AFTER DELETE ON messages
REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION count_message_bytes();
--> statement-breakpoint
-- Samples have no owner and count for nobody.
CREATE FUNCTION count_document_bytes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    INSERT INTO storage_changes (user_id, bytes)
    SELECT user_id, sum(bytes) FROM added WHERE user_id IS NOT NULL GROUP BY user_id;
  ELSE
    INSERT INTO storage_changes (user_id, bytes)
    SELECT user_id, -sum(bytes) FROM removed
    WHERE EXISTS (SELECT FROM users WHERE users.id = removed.user_id) GROUP BY user_id;
  END IF;
  RETURN NULL;
END $$;
--> statement-breakpoint
CREATE TRIGGER count_added_documents AFTER INSERT ON documents
REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION count_document_bytes();
--> statement-breakpoint
CREATE TRIGGER count_removed_documents AFTER DELETE ON documents
REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION count_document_bytes();
--> statement-breakpoint
CREATE FUNCTION forget_storage_changes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM storage_changes WHERE user_id IN (SELECT id FROM removed);
  RETURN NULL;
END $$;
--> statement-breakpoint
CREATE TRIGGER forget_storage_changes AFTER DELETE ON users
REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION forget_storage_changes();
--> statement-breakpoint
-- What was stored before is counted in the background (db/stored-bytes.ts): here every write would wait until all messages are read.
CREATE TABLE storage_uncounted (user_id uuid PRIMARY KEY);
--> statement-breakpoint
INSERT INTO storage_uncounted (user_id) SELECT id FROM users;
--> statement-breakpoint
-- Raises RV001, with the ceiling as its constraint, when the user has more than this; a null ceiling is not checked. To be
-- called in the transaction that adds, behind what it adds: a volatile function sees that, and all that was committed before
-- it got the lock of the user's row. So of additions at the same time none goes over a ceiling.
CREATE FUNCTION require_room(
  owner uuid, max_chats integer, max_tokens integer, max_documents integer, max_bytes bigint, bytes_to_come bigint
) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  ceiling text;
  stored bigint;
  changes integer;
BEGIN
  PERFORM FROM users WHERE id = owner FOR NO KEY UPDATE;
  IF (SELECT count(*) FROM chats WHERE user_id = owner AND max_chats IS NOT NULL) > max_chats THEN
    ceiling := 'chats';
  ELSIF (SELECT count(*) FROM tokens WHERE user_id = owner AND max_tokens IS NOT NULL) > max_tokens THEN
    ceiling := 'tokens';
  ELSIF (SELECT count(*) FROM documents WHERE user_id = owner AND NOT sample AND max_documents IS NOT NULL) > max_documents THEN
    ceiling := 'documents';
  ELSIF max_bytes IS NOT NULL THEN
    SELECT coalesce(sum(bytes), 0), count(*) INTO stored, changes FROM storage_changes WHERE user_id = owner;
    IF stored + bytes_to_come > max_bytes THEN
      ceiling := 'bytes';
    ELSIF changes > 100 THEN
      WITH joined AS (DELETE FROM storage_changes WHERE user_id = owner RETURNING bytes)
      INSERT INTO storage_changes (user_id, bytes) SELECT owner, sum(bytes) FROM joined HAVING sum(bytes) <> 0;
    END IF;
  END IF;
  IF ceiling IS NOT NULL THEN
    RAISE EXCEPTION 'no room for more %', ceiling USING ERRCODE = 'RV001', CONSTRAINT = ceiling;
  END IF;
  RETURN true;
END $$;
