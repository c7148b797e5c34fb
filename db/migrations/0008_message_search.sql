-- The index of the chat list is replaced in db/indexes.ts, which drops it once the new one is built.
ALTER TABLE "messages" ADD COLUMN "search_text" text;--> statement-breakpoint
ALTER TABLE "messages" ADD COLUMN "search_words" "tsvector";--> statement-breakpoint
ALTER TABLE "messages" ADD COLUMN "search_grams" bit(2048);