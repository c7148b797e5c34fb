CREATE TABLE "token_usage" (
	"day" date NOT NULL,
	"user_id" uuid NOT NULL,
	"guest" boolean NOT NULL,
	"tokens" bigint NOT NULL,
	CONSTRAINT "token_usage_day_user_id_pk" PRIMARY KEY("day","user_id")
);
--> statement-breakpoint
ALTER TABLE "turns" ADD COLUMN "prompt_tokens" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "turns" ADD COLUMN "reserved_tokens" integer DEFAULT 0 NOT NULL;
--> statement-breakpoint
-- A user's row of the day is updated with each turn that ends; room in the page keeps those updates heap-only.
ALTER TABLE "token_usage" SET (fillfactor = 70);--> statement-breakpoint
-- Decides in the statement that starts a turn (db/turns.ts). VOLATILE, so that each statement inside sees what was
-- committed before it, also while this one waited for a lock; a CTE would count by the snapshot from before the wait.
-- No row: there is no such user. A later version that needs other arguments gets another name.
CREATE FUNCTION admit_turn(
  p_user_id uuid, p_chat_id text, p_prompt_tokens int, p_output_tokens int, p_max_running int,
  p_account_budget bigint, p_guest_budget bigint, p_all_guests_budget bigint, p_server_budget bigint
) RETURNS TABLE (refusal text, prompt_tokens int, resets_at timestamptz) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  v_day date := (now() AT TIME ZONE 'UTC')::date;
  v_since timestamptz := v_day::timestamp AT TIME ZONE 'UTC';
  v_guest boolean;
  v_budget bigint;
  v_all_guests bigint;
  v_wanted bigint;
  v_own bigint;
  v_guests bigint;
  v_total bigint;
BEGIN
  prompt_tokens := p_prompt_tokens;
  resets_at := (v_day + 1)::timestamp AT TIME ZONE 'UTC';
  -- One start of a user at a time. The first lock of every transaction that starts a turn, so that none deadlocks.
  SELECT users.email IS NULL INTO v_guest FROM users WHERE users.id = p_user_id FOR NO KEY UPDATE;
  IF v_guest IS NULL THEN
    RETURN;
  END IF;
  IF (SELECT count(*) FROM turns WHERE turns.user_id = p_user_id AND turns.state = 'running') >= p_max_running THEN
    refusal := 'running';
    RETURN NEXT;
    RETURN;
  END IF;
  v_budget := CASE WHEN v_guest THEN p_guest_budget ELSE p_account_budget END;
  v_all_guests := CASE WHEN v_guest THEN p_all_guests_budget END;
  IF p_output_tokens = 0 OR coalesce(v_budget, v_all_guests, p_server_budget) IS NULL THEN
    RETURN NEXT;
    RETURN;
  END IF;
  prompt_tokens := p_prompt_tokens + (
    SELECT coalesce(sum(octet_length(messages.text)), 0) / 3 FROM messages
    WHERE messages.user_id = p_user_id AND messages.chat_id = p_chat_id
  );
  v_wanted := prompt_tokens::bigint + p_output_tokens;
  -- In one statement, so that a turn that ends meanwhile counts once: as running or as used.
  IF v_all_guests IS NULL AND p_server_budget IS NULL THEN
    SELECT
      coalesce((SELECT sum(token_usage.tokens) FROM token_usage WHERE day = v_day AND user_id = p_user_id), 0) +
      coalesce((
        SELECT sum(turns.reserved_tokens) FROM turns
        WHERE turns.user_id = p_user_id AND turns.state = 'running' AND turns.created_at >= v_since
      ), 0)
    INTO v_own;
  ELSE
    -- One start on the whole server at a time, where users share a budget. Any constant will do.
    PERFORM pg_advisory_xact_lock(7305182442);
    SELECT
      coalesce(sum(taken.tokens) FILTER (WHERE taken.user_id = p_user_id), 0),
      coalesce(sum(taken.tokens) FILTER (WHERE taken.guest), 0),
      coalesce(sum(taken.tokens), 0)
    INTO v_own, v_guests, v_total
    FROM (
      SELECT token_usage.user_id, token_usage.guest, token_usage.tokens FROM token_usage WHERE day = v_day
      UNION ALL
      SELECT turns.user_id, users.email IS NULL, turns.reserved_tokens
      FROM turns JOIN users ON users.id = turns.user_id
      WHERE turns.state = 'running' AND turns.created_at >= v_since
    ) AS taken (user_id, guest, tokens);
  END IF;
  refusal := CASE
    WHEN v_own + v_wanted > v_budget THEN CASE WHEN v_guest THEN 'guest' ELSE 'account' END
    WHEN v_guests + v_wanted > v_all_guests THEN 'allGuests'
    WHEN v_total + v_wanted > p_server_budget THEN 'server'
  END;
  RETURN NEXT;
END $$;
