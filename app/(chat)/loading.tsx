import { Mark } from "@/components/ui/mark";

export default function Loading() {
  return (
    <div role="status" className="flex flex-1 items-center justify-center text-water">
      <Mark flowing className="size-6" />
      <span className="sr-only">Opening the chat…</span>
    </div>
  );
}
