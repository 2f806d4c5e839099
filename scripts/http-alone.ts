/**
 * `node:http` in what ships; see `rolldown.config.ts`. An import of Node's own name reads all that it
 * exports, WebSocket among them, for which it loads undici: several MB in each program, for nothing.
 */
const http = process.getBuiltinModule("node:http");

// oxlint-disable-next-line import/no-default-export -- Node's own has one
export default http;
export const {
  Agent,
  ClientRequest,
  createServer,
  get,
  globalAgent,
  IncomingMessage,
  maxHeaderSize,
  METHODS,
  OutgoingMessage,
  request,
  Server,
  ServerResponse,
  STATUS_CODES,
  validateHeaderName,
  validateHeaderValue,
} = http;
