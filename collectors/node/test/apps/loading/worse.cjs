console.log(module);
throw new Error("mine");
