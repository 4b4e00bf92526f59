require("./fastify-shop.cjs")(require("fastify"));
