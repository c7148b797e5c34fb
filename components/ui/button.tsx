import { clsx } from "clsx";
import type { ComponentProps } from "react";
import { Tooltip } from "./tooltip";

const variants = {
  primary: "bg-water text-on-water hover:bg-water-strong",
  outline: "border border-line bg-raised text-ink hover:border-line-strong hover:bg-hover",
  quiet: "text-ink-2 hover:bg-hover hover:text-ink",
  danger: "bg-danger text-paper hover:opacity-90",
};

type ButtonProps = ComponentProps<"button"> & { variant?: keyof typeof variants };

export function Button({ variant = "outline", className, type = "button", ...props }: ButtonProps) {
  return (
    <button
      type={type}
      className={clsx(
        "inline-flex h-9 items-center justify-center gap-2 rounded-lg px-3.5 text-sm font-medium whitespace-nowrap transition-colors disabled:cursor-default disabled:opacity-45 [&_svg]:size-4 [&_svg]:shrink-0",
        variants[variant],
        className,
      )}
      {...props}
    />
  );
}

/** An icon-only button; its label is both accessible name and tooltip. */
export function IconButton({ label, className, ...props }: ButtonProps & { label: string }) {
  return (
    <Tooltip label={label}>
      <Button variant="quiet" aria-label={label} className={clsx("size-9 px-0", className)} {...props} />
    </Tooltip>
  );
}
