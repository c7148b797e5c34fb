import type { ReactNode } from "react";

export function Section({ title, lead, children }: { title: string; lead?: ReactNode; children: ReactNode }) {
  return (
    <section aria-label={title} className="mt-9">
      <h2 className="text-base font-semibold tracking-[-0.01em]">{title}</h2>
      {lead && <p className="mt-1 max-w-prose text-sm text-pretty text-ink-2">{lead}</p>}
      <div className="mt-4">{children}</div>
    </section>
  );
}
