import Link from "next/link";

export default function ChatNotFound() {
  return (
    <div className="m-auto max-w-sm px-6 text-center">
      <h1 className="text-lg font-semibold tracking-[-0.015em]">Chat not found</h1>
      <p className="mt-2 text-sm text-pretty text-ink-2">It was deleted, or it belongs to another account.</p>
      <Link href="/" className="mt-5 inline-block text-sm font-medium text-water underline underline-offset-4">
        Start a new chat
      </Link>
    </div>
  );
}
