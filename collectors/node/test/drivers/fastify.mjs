import fastify from "fastify";
import start from "./fastify-shop.cjs";

start(fastify);
