// A transform of the AssemblyScript compiler: `const NAME: usize = ascii("text")` at the top level becomes the address of
// the text as ASCII bytes with a NUL behind them. A literal as the language has it is UTF-16 behind a header of 20 bytes,
// which cost this module, that is to stay under 16 KiB, 1.7 KiB. All texts lie in one block, the global `TEXTS` of words.ts:
// a block for each cost another 130 bytes.
import { Node, NodeKind, Token } from "assemblyscript/dist/assemblyscript.js";
import { Transform } from "assemblyscript/dist/transform.js";

const BLOCK = "TEXTS";

export default class AsciiTransform extends Transform {
  afterParse(parser) {
    const uses = [];
    const blocks = [];
    for (const source of parser.sources) {
      for (const statement of source.statements) {
        if (statement.kind !== NodeKind.Variable) continue;
        for (const declaration of statement.declarations) {
          const call = declaration.initializer;
          if (call?.kind !== NodeKind.Call || call.expression.text !== "ascii") continue;
          if (declaration.name.text === BLOCK) blocks.push(declaration);
          else uses.push({ declaration, text: `${call.args[0].value}\0`, range: call.range });
        }
      }
    }
    // A text that ends another one shares its bytes, hence the longest first.
    let texts = "";
    for (const { text } of [...uses].sort((a, b) => b.text.length - a.text.length))
      if (!texts.includes(text)) texts += text;
    for (const { declaration, text, range } of uses) declaration.initializer = addressOf(texts.indexOf(text), range);
    if (blocks.length !== 1) throw new Error(`${BLOCK} is declared ${blocks.length} times`);
    blocks[0].initializer = bytesOf(texts, blocks[0].range);
  }
}

/** `TEXTS + offset` */
function addressOf(offset, range) {
  return Node.createBinaryExpression(
    Token.Plus,
    Node.createIdentifierExpression(BLOCK, range),
    integer(offset, range),
    range,
  );
}

/** `memory.data<u8>([…])` */
function bytesOf(text, range) {
  const codes = [...text].map((character) => character.charCodeAt(0));
  if (codes.some((code) => code > 127)) throw new Error("a text is not ASCII");
  const property = Node.createPropertyAccessExpression(
    Node.createIdentifierExpression("memory", range),
    Node.createIdentifierExpression("data", range),
    range,
  );
  const u8 = Node.createNamedType(Node.createSimpleTypeName("u8", range), null, false, range);
  const bytes = codes.map((code) => integer(code, range));
  return Node.createCallExpression(property, [u8], [Node.createArrayLiteralExpression(bytes, range)], range);
}

function integer(value, range) {
  return Node.createIntegerLiteralExpression(i64_new(value, 0), range);
}
