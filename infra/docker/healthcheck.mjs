/** `node healthcheck.mjs URL` ends with 0 when the URL answers 2xx within three seconds, and says why when it does not. */
const TIMEOUT_MS = 3000;

try {
  const response = await fetch(process.argv[2], { signal: AbortSignal.timeout(TIMEOUT_MS) });
  if (!response.ok) throw new Error(`answered ${response.status}: ${await response.text()}`);
} catch (error) {
  console.error(error.cause?.message ?? error.message);
  process.exit(1);
}
