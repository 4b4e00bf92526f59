// A service in TypeScript of two files, for the tests of source maps: what is compiled from it has other lines.
import { createServer } from "node:http";
import { type Job, workOff } from "./work.ts";

interface Address {
  readonly port: number;
}

const jobs: Job[] = [{ name: "first", milliseconds: 400 }];

const server = createServer((_request, response) => {
  response.end(String(workOff(jobs)));
});
server.listen(0, "127.0.0.1", () => console.log(JSON.stringify(server.address() as Address)));
