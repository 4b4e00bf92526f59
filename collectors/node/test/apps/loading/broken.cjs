console.log(Object.getOwnPropertyDescriptors(module));
require("./worse.cjs");
