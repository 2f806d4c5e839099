/** Whether a URL is that of the machine itself, which is another one for every program. */
export function isLoopback(url: string): boolean {
  if (!URL.canParse(url)) return false;
  return /^(?:localhost|127\.[\d.]+|\[::1\])$/.test(new URL(url).hostname);
}
