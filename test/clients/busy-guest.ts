import { type Cluster, newKey } from "@/test/server/cluster";

const most = 3;

/** For `testCluster` of a file that uses `busyGuest`. */
export const fewTurnsAtATime = { MAX_RUNNING_TURNS: String(most) };

/** The token of a guest who has as many turns running as they may: the next one is 429. */
export async function busyGuest(cluster: Cluster): Promise<string> {
  const user = await cluster.guest();
  const key = newKey();
  cluster.provider.on(key, [{ text: "Still" }, { hang: true }]);
  for (let n = 0; n < most; n++) {
    const stream = await cluster.send(key, {}, { user });
    await stream.until(({ text }) => text === "Still");
  }
  return user.token;
}
