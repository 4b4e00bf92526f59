require("./broken.cjs");
