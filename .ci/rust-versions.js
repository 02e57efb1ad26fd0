// Reads `cargo metadata` and fails if a dependency of the library asks for a newer Rust than argv[2].
const metadata = JSON.parse(require("fs").readFileSync(0));
const limit = process.argv[2];
const packages = new Map(metadata.packages.map((p) => [p.id, p]));
const nodes = new Map(metadata.resolve.nodes.map((node) => [node.id, node]));

const compare = (a, b) => {
  const [x, y] = [a, b].map((version) => version.split(".").map(Number));
  return x[0] - y[0] || (x[1] ?? 0) - (y[1] ?? 0) || (x[2] ?? 0) - (y[2] ?? 0);
};

// Everything the library is built from; what only its tests need may ask for more.
const seen = new Set();
const visit = (id) => {
  if (seen.has(id)) return;
  seen.add(id);
  for (const dep of nodes.get(id).deps) {
    if (dep.dep_kinds.some(({ kind }) => kind !== "dev")) visit(dep.pkg);
  }
};
visit(metadata.resolve.root);

const newer = [...seen].map((id) => packages.get(id)).filter((p) => compare(p.rust_version ?? "0", limit) > 0);
for (const p of newer) console.error(`${p.name} ${p.version} needs Rust ${p.rust_version}`);
console.log(`${seen.size} packages, ${newer.length} of them need more than Rust ${limit}`);
process.exit(newer.length === 0 ? 0 : 1);
