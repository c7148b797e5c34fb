import Link from "next/link";
import { Wordmark } from "@/components/ui/mark";

export default function NotFound() {
  return (
    <main className="mx-auto grid min-h-dvh max-w-sm content-center gap-3 px-6">
      <Wordmark />
      <h1 className="mt-4 text-xl font-semibold tracking-[-0.02em]">Page not found</h1>
      <Link href="/" className="text-sm font-medium text-water underline underline-offset-4">
        Go to your chats
      </Link>
    </main>
  );
}
