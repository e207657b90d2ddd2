// Asking the daemon.

// Refused is an answer that says no.
export class Refused extends Error {}

// ask gets what is at a path of the API.
export async function ask(path) {
  const answer = await fetch("api/v1/" + path, { cache: "no-store", signal: AbortSignal.timeout(10000) });
  const body = await answer.json().catch(() => ({ error: `the answer (${answer.status}) is not JSON` }));
  if (!answer.ok || body.error) throw new Refused(body.error ?? `the answer is ${answer.status} ${answer.statusText}`);
  return body;
}
