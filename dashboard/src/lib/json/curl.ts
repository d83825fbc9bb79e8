/** Commands to paste into a POSIX shell. */

/** Quotes a text for a shell. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** Returns the command that sends a request like this one. Values that the server hides stay hidden. */
export function curlOfRequest(request: {
  method: string;
  url: string;
  headers: Record<string, string>;
  body?: string | null;
}): string {
  const headers = Object.entries(request.headers).map(
    ([name, value]) => `  -H ${quoted(`${name}: ${value}`)}`,
  );
  const body = request.body === null || request.body === undefined ? [] : [`  -d ${quoted(request.body)}`];
  return [`curl -X ${request.method} ${quoted(request.url)}`, ...headers, ...body].join(" \\\n");
}

/** Returns the command that sends a message like this one. The key stays a variable: no secret is written out. */
export function curlOfMessage(
  origin: string,
  applicationId: string,
  eventType: string,
  payload: string,
): string {
  const body = `{"event_type":${JSON.stringify(eventType)},"payload":${payload}}`;
  return [
    `curl -X POST ${origin}/v1/applications/${applicationId}/messages`,
    `  -H "X-API-Key: $HOOKSTREAM_API_KEY"`,
    `  -H 'content-type: application/json'`,
    `  -d ${quoted(body)}`,
  ].join(" \\\n");
}
