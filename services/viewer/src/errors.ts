import { MacroError } from "@tidemark/dashboards";
import type { FastifyInstance } from "fastify";
import { DatabaseError, type DatabaseErrorCode } from "./database.ts";
import { ShapeError } from "./frames/long-to-wide.ts";
import { InterpolationError } from "./grafana/interpolate.ts";

/** Every error the browser sees has this shape; callers match `code`. */
export interface ErrorBody {
  code: string;
  message: string;
  /** What the person in front of the page can do. */
  hint: string;
}

/** A refused request. */
export class ViewerError extends Error {
  readonly statusCode: number;
  readonly body: ErrorBody;
  constructor(statusCode: number, code: string, message: string, hint: string) {
    super(message);
    this.statusCode = statusCode;
    this.body = { code, message, hint };
  }
}

const DATABASE_STATUS: Record<DatabaseErrorCode, number> = {
  VIEWER_DATABASE_UNREACHABLE: 503,
  VIEWER_DATABASE_DENIED: 502,
  VIEWER_QUERY_FAILED: 502,
  VIEWER_QUERY_TIMEOUT: 504,
};

/** Status and body for anything thrown while answering. */
export function describeError(error: unknown): { status: number; body: ErrorBody } {
  if (error instanceof ViewerError) return { status: error.statusCode, body: error.body };
  if (error instanceof DatabaseError) {
    const { code, message, hint } = error;
    return { status: DATABASE_STATUS[code], body: { code, message, hint } };
  }
  if (error instanceof ShapeError) {
    const hint = "Order the query by time, or make it a table (format 1).";
    return { status: 422, body: { code: "VIEWER_RESULT_SHAPE", message: error.message, hint } };
  }
  if (error instanceof InterpolationError) {
    const hint = "Choose another value for the variable.";
    return { status: 400, body: { code: "VIEWER_VARIABLE_VALUE", message: error.message, hint } };
  }
  if (error instanceof MacroError) {
    const hint = "The dashboard's SQL is at fault: correct it and reload.";
    return { status: 422, body: { code: "VIEWER_MACRO", message: error.message, hint } };
  }
  const { statusCode, message } = error as { statusCode?: number; message?: string };
  if (statusCode !== undefined && statusCode < 500) {
    const hint = "See the viewer's README for the fields of each request.";
    return { status: statusCode, body: { code: "VIEWER_BAD_REQUEST", message: message ?? "bad request", hint } };
  }
  const hint = "This is a fault of the viewer; its log has the details.";
  return { status: 500, body: { code: "VIEWER_INTERNAL", message: "The viewer failed", hint } };
}

/** Answers every error and every unknown address in one shape. */
export function installErrors(app: FastifyInstance): void {
  app.setErrorHandler(async (error, request, reply) => {
    const { status, body } = describeError(error);
    if (status === 500) request.log.error({ err: error }, "request failed");
    return reply.code(status).send(body);
  });
  app.setNotFoundHandler(async (request, reply) => {
    const message = `There is nothing at ${request.method} ${request.url}`;
    return reply.code(404).send({ code: "VIEWER_NOT_FOUND", message, hint: "Start at /" } satisfies ErrorBody);
  });
}
