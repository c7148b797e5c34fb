import { useState } from "react";
import { RequestError } from "@/packages/client/src/request";

/** One request at a time, with the server's message on refusal. `attempt` resolves to success. */
export function useAttempt() {
  const [problem, setProblem] = useState<string | null>(null);
  const [pending, setPending] = useState(false);
  const attempt = async (work: () => Promise<void>): Promise<boolean> => {
    setPending(true);
    setProblem(null);
    try {
      await work();
      return true;
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      setProblem(error.message.replace(/^\w+: (\w)/, (_, first: string) => `It ${first}`));
      return false;
    } finally {
      setPending(false);
    }
  };
  return { problem, pending, attempt };
}

export function Problem({ text }: { text: string | null }) {
  if (!text) return null;
  return (
    <p role="alert" className="mt-3 rounded-lg bg-danger-soft px-3 py-2 text-sm text-pretty text-danger">
      {text}
    </p>
  );
}
