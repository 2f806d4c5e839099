/** Stands for undici in what ships; see `rolldown.config.ts`. */
function notShipped(): never {
  throw new Error("Cannot call the Kubernetes API by fetch: undici is not part of this program");
}

export { notShipped as Agent, notShipped as ProxyAgent, notShipped as fetch };
