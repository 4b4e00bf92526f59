// A NestJS service, in CommonJS, that calls another one by undici; prints its port as JSON.
require("reflect-metadata");
const { createServer } = require("node:http");
const { Controller, Get, Module, Param } = require("@nestjs/common");
const { NestFactory } = require("@nestjs/core");
const { request } = require("undici");

const leaf = createServer((incoming, response) => response.end(incoming.headers.traceparent ?? "none"));

class ItemsController {
  async find(item) {
    const { body } = await request(`http://127.0.0.1:${leaf.address().port}/?key=secret`);
    return { item, called: await body.text() };
  }
}
// What the compiler makes of decorators.
const { prototype } = ItemsController;
Param("item")(prototype, "find", 0);
Get("items/:item")(prototype, "find", Object.getOwnPropertyDescriptor(prototype, "find"));
Controller("shop")(ItemsController);
class ShopModule {}
Module({ controllers: [ItemsController] })(ShopModule);

leaf.listen(0, "127.0.0.1", async () => {
  const app = await NestFactory.create(ShopModule, { logger: false });
  await app.listen(0, "127.0.0.1");
  console.log(JSON.stringify(app.getHttpServer().address()));
});
