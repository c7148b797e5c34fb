import { clsx } from "clsx";

/** The logo: two sources become one stream. `flowing` animates it while work is in progress. */
export function Mark({ className, flowing = false }: { className?: string; flowing?: boolean }) {
  return (
    <svg
      viewBox="0 0 24 24"
      fill="none"
      stroke="currentColor"
      strokeWidth="2.6"
      strokeLinecap="round"
      aria-hidden="true"
      className={clsx(className, flowing && "flowing")}
    >
      <path d="M5.5 2.5c0 6.2 10.8 5.6 10.8 11.4 0 4-6.3 3.8-6.3 7.6" />
      <path d="M18.8 2.5c0 3-1.9 5.1-5.7 6.9" />
    </svg>
  );
}

export function Wordmark() {
  return (
    <span className="inline-flex items-center gap-2 text-[1.0625rem] font-semibold tracking-[-0.02em]">
      <Mark className="size-5 text-water" />
      Rivulet
    </span>
  );
}
