// A transform of the AssemblyScript compiler: `const NAME: usize = ascii("text")` at the top level becomes the address of
// the text as ASCII bytes with a NUL behind them. A literal as the language has it is UTF-16 behind a header of 20 bytes,
// which cost this module, that is to stay under 16 KiB, 1.7 KiB.
import { Node, NodeKind } from "assemblyscript/dist/assemblyscript.js";
import { Transform } from "assemblyscript/dist/transform.js";

export default class AsciiTransform extends Transform {
  afterParse(parser) {
    for (const source of parser.sources) {
      for (const statement of source.statements) {
        if (statement.kind !== NodeKind.Variable) continue;
        for (const declaration of statement.declarations) {
          const call = declaration.initializer;
          if (call?.kind !== NodeKind.Call || call.expression.text !== "ascii") continue;
          declaration.initializer = bytesOf(call.args[0].value, call.range);
        }
      }
    }
  }
}

/** `memory.data<u8>([…])` */
function bytesOf(text, range) {
  const codes = [...text].map((character) => character.charCodeAt(0));
  if (codes.some((code) => code > 127)) throw new Error(`ascii(${JSON.stringify(text)}): not ASCII`);
  const identifier = (name) => Node.createIdentifierExpression(name, range);
  return Node.createCallExpression(
    Node.createPropertyAccessExpression(identifier("memory"), identifier("data"), range),
    [Node.createNamedType(Node.createSimpleTypeName("u8", range), null, false, range)],
    [
      Node.createArrayLiteralExpression(
        [...codes, 0].map((code) => Node.createIntegerLiteralExpression(i64_new(code, 0), range)),
        range,
      ),
    ],
    range,
  );
}
