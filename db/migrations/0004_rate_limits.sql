CREATE TABLE "rate_limits" (
	"key" text PRIMARY KEY NOT NULL,
	"uses" integer NOT NULL,
	"expires_at" timestamp with time zone NOT NULL
);
--> statement-breakpoint
CREATE INDEX "rate_limits_expires_at_index" ON "rate_limits" USING btree ("expires_at");
--> statement-breakpoint
-- Counters are written often and mean nothing after a crash, so they need no write-ahead log.
ALTER TABLE "rate_limits" SET UNLOGGED;
