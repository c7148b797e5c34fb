CREATE TABLE "open_streams" (
	"user_id" uuid NOT NULL,
	"server_id" uuid NOT NULL,
	"streams" integer NOT NULL,
	"refreshed_at" timestamp with time zone NOT NULL,
	CONSTRAINT "open_streams_user_id_server_id_pk" PRIMARY KEY("user_id","server_id")
);
--> statement-breakpoint
CREATE INDEX "open_streams_server_id_index" ON "open_streams" USING btree ("server_id");--> statement-breakpoint
-- Counters are written often and mean nothing after a crash, so they need no write-ahead log.
ALTER TABLE "open_streams" SET UNLOGGED;
--> statement-breakpoint
-- Room in the page keeps the refreshes heap-only.
ALTER TABLE "open_streams" SET (fillfactor = 50);
--> statement-breakpoint
-- Raises the rows of one server as far as the ceiling allows (db/open-streams.ts). VOLATILE, so that the sum is read after
-- the lock: of claims of a user on several servers each sees the ones before it. A refused claim writes nothing.
CREATE FUNCTION claim_streams(
  p_server_id uuid, p_user_ids uuid[], p_open int[], p_wanted int[], p_ceiling int, p_expiry_seconds int
) RETURNS TABLE (owner uuid, granted int, elsewhere int) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  v_open int;
  v_wanted int;
BEGIN
  -- In the order of the locks, so that two servers never wait for each other.
  FOR owner, v_open, v_wanted IN
    SELECT claims.* FROM unnest(p_user_ids, p_open, p_wanted) AS claims (user_id, open, wanted)
    ORDER BY hashtext(claims.user_id::text)
  LOOP
    -- Any constant will do.
    PERFORM pg_advisory_xact_lock(730518, hashtext(owner::text));
    SELECT coalesce(sum(open_streams.streams), 0) INTO elsewhere FROM open_streams
    WHERE open_streams.user_id = owner AND open_streams.server_id <> p_server_id
      AND open_streams.refreshed_at > clock_timestamp() - p_expiry_seconds * interval '1 second';
    granted := greatest(v_open, least(v_wanted, p_ceiling - elsewhere));
    IF granted > v_open THEN
      INSERT INTO open_streams (user_id, server_id, streams, refreshed_at)
      VALUES (owner, p_server_id, granted, clock_timestamp())
      ON CONFLICT (user_id, server_id) DO UPDATE SET streams = excluded.streams, refreshed_at = excluded.refreshed_at;
    END IF;
    RETURN NEXT;
  END LOOP;
END $$;
