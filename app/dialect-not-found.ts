// The 404 page for browsers. A route handler cannot render Next's own not-found view.

const html = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>Not found · Rivulet</title>
<style>
  :root { color-scheme: light dark; }
  body { font: 16px/1.5 system-ui, sans-serif; display: grid; place-content: center; min-height: 100dvh; margin: 0; }
  h1 { font-size: 1.25rem; margin: 0 0 .75rem; }
</style>
<main>
  <h1>Page not found</h1>
  <a href="/">Go to your chats</a>
</main>
</html>
`;

export function pageNotFound(): Response {
  const headers = { "Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store" };
  return new Response(html, { status: 404, headers });
}
