// A Fastify service that calls another one by fetch; prints its port as JSON. Given the framework, however it was loaded.
const { createServer } = require("node:http");

module.exports = (fastify) => {
  const leaf = createServer((request, response) => response.end(request.headers.traceparent ?? "none"));
  const app = fastify();
  app.get("/shop/items/:item", async ({ params }) => {
    const called = await fetch(`http://127.0.0.1:${leaf.address().port}/?key=secret`);
    return { item: params.item, called: await called.text() };
  });
  leaf.listen(0, "127.0.0.1", async () => {
    await app.listen({ port: 0, host: "127.0.0.1" });
    console.log(JSON.stringify(app.server.address()));
  });
};
