import { existsSync } from "node:fs";
import fastifyStatic from "@fastify/static";
import type { FastifyInstance } from "fastify";
import { ViewerError } from "../errors.ts";

/** The browser part: its files, and the one page for `/` and Grafana's own addresses `/d/<uid>/<slug>`. */
export async function pageRoutes(app: FastifyInstance, publicDir: string): Promise<void> {
  if (!existsSync(publicDir)) {
    const answer = async () => {
      const hint = "Build it: npm run bundle -w @tidemark/viewer";
      throw new ViewerError(503, "VIEWER_NOT_BUILT", "The browser part of the viewer is not built", hint);
    };
    app.get("/", answer);
    app.get("/d/*", answer);
    return;
  }
  await app.register(fastifyStatic, {
    root: publicDir,
    prefix: "/",
    wildcard: false,
    index: false,
    cacheControl: false,
  });
  const page = { cacheControl: false } as const;
  app.get("/", async (_request, reply) => reply.header("cache-control", "no-cache").sendFile("index.html", page));
  app.get("/d/*", async (_request, reply) => reply.header("cache-control", "no-cache").sendFile("index.html", page));
}
