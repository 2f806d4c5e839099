import { randomUUID } from "node:crypto";
import { serviceError, type AgentAnswer } from "./answers.ts";

/** The answer to a token that says who asks, but not to be given anything. */
export function invalidToken(problem: string): AgentAnswer {
  const message = `The service account token cannot be used: ${problem}`;
  return serviceError("InvalidTokenException", { message, requestId: randomUUID() });
}

/** The answer where nobody can tell now; the problem is for the log alone. */
export function unavailable(problem: string): AgentAnswer {
  return {
    ...serviceError("ServiceUnavailableException", {
      message: "The token cannot be judged now",
      requestId: randomUUID(),
    }),
    problem,
  };
}
