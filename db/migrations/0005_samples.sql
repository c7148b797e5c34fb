CREATE TABLE "hidden_samples" (
	"user_id" uuid NOT NULL,
	"filename" text NOT NULL,
	CONSTRAINT "hidden_samples_user_id_filename_pk" PRIMARY KEY("user_id","filename")
);
--> statement-breakpoint
ALTER TABLE "documents" ALTER COLUMN "user_id" DROP NOT NULL;--> statement-breakpoint
ALTER TABLE "passages" ALTER COLUMN "user_id" DROP NOT NULL;--> statement-breakpoint
ALTER TABLE "documents" ADD COLUMN "fingerprint" text;--> statement-breakpoint
ALTER TABLE "hidden_samples" ADD CONSTRAINT "hidden_samples_user_id_users_id_fk" FOREIGN KEY ("user_id") REFERENCES "public"."users"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE UNIQUE INDEX "documents_samples" ON "documents" USING btree ("filename") WHERE user_id is null;--> statement-breakpoint
CREATE INDEX "documents_sample_copies" ON "documents" USING btree ("user_id") WHERE sample and user_id is not null;--> statement-breakpoint
-- Who has deleted a copy of a sample does not get it back.
INSERT INTO "hidden_samples" ("user_id", "filename")
SELECT users.id, file.name FROM users CROSS JOIN (VALUES ('README.md'), ('ARCHITECTURE.md'), ('protocol.md'), ('operations.md')) AS file (name)
WHERE NOT EXISTS (SELECT FROM documents WHERE documents.user_id = users.id AND documents.sample AND documents.filename = file.name);
