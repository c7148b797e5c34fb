// A user agent as a familiar browser name. Known names only: the text comes from the client and is
// never shown directly.

const browsers: [name: string, sign: RegExp][] = [
  ["Edge", /Edg(?:e|A|iOS)?\//],
  ["Opera", /OPR\//],
  ["Samsung Internet", /SamsungBrowser\//],
  ["Firefox", /(?:Firefox|FxiOS)\//],
  ["Chrome", /(?:Chrome|CriOS|HeadlessChrome)\//],
  ["Safari", /Version\/[\d.]+ (?:Mobile\/\w+ )?Safari\//],
];
const systems: [name: string, sign: RegExp][] = [
  ["iPhone", /iPhone/],
  ["iPad", /iPad/],
  ["Android", /Android/],
  ["Windows", /Windows/],
  ["macOS", /Mac OS X|Macintosh/],
  ["ChromeOS", /CrOS/],
  ["Linux", /Linux/],
];

export function browserName(userAgent: string): string {
  const named = (list: [string, RegExp][]) => list.find(([, sign]) => sign.test(userAgent))?.[0];
  const browser = named(browsers) ?? "Unknown browser";
  const system = named(systems);
  return system ? `${browser} on ${system}` : browser;
}

export function isPhone(userAgent: string): boolean {
  return userAgent.includes("iPhone") || (userAgent.includes("Android") && userAgent.includes("Mobile"));
}
