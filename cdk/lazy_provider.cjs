// Preloaded into jsii's Node.js: the provider's index requires its 1,470 modules at once, which takes longer
// than all the rest of a synth. Here each of them is loaded when something first looks into it.
"use strict";
const Module = require("node:module");

const INDEX = /[\\/]provider-google[\\/]lib[\\/]index\.js$/;
const load = Module._load;

Module._load = function (request, parent, isMain) {
  if (!parent || !request.startsWith("./") || !INDEX.test(parent.filename ?? "")) {
    return load.call(this, request, parent, isMain);
  }
  let loaded;
  const module = () => (loaded ??= load.call(this, request, parent, isMain));
  return new Proxy(Object.create(null), {
    // TypeScript's __importStar asks this first, of every module.
    get: (_, key) => (key === "__esModule" ? true : module()[key]),
    has: (_, key) => key in module(),
    ownKeys: () => Reflect.ownKeys(module()),
    getOwnPropertyDescriptor: (_, key) => {
      const descriptor = Reflect.getOwnPropertyDescriptor(module(), key);
      return descriptor && { ...descriptor, configurable: true };
    },
  });
};
