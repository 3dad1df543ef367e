/**
 * What converters make of models that are served. None of them runs a graph again and again, or makes much out of little:
 * a file that a model's code wrote cannot keep this process busy or take its memory.
 */
const OPERATORS = new Set(
  `Abs Add And ArgMax ArgMin ArrayFeatureExtractor Binarizer Cast CDist Ceil Clip Concat Constant Div Equal Exp FeatureVectorizer
  Flatten Floor Gather GatherElements Gemm Greater GreaterOrEqual Identity Imputer IsNaN LabelEncoder Less LessOrEqual
  LinearClassifier LinearRegressor Log MatMul Max Min Mul Neg Normalizer Not OneHotEncoder Or Pow Reciprocal ReduceMax ReduceMean
  ReduceMin ReduceSum ReduceSumSquare ReduceL1 ReduceL2 ReduceLogSumExp Relu Reshape SVMClassifier SVMRegressor Scaler Shape Sigmoid
  Sign Slice Softmax Sqrt Squeeze StringNormalizer Sub Sum Tanh TfIdfVectorizer Tokenizer TopK Transpose TreeEnsemble
  TreeEnsembleClassifier TreeEnsembleRegressor Unsqueeze Where`.split(/\s+/),
);
const DOMAINS = new Set(['', 'ai.onnx', 'ai.onnx.ml', 'com.microsoft']);
const MAX_NODES = 5_000;

/** Numbers of fields, as onnx.proto has them. */
const MODEL = { graph: 7, trainingInfo: 20, functions: 25 };
const GRAPH = { node: 1, initializer: 5, sparseInitializer: 15 };
const NODE = { operator: 4, attribute: 5, domain: 7 };
const ATTRIBUTE = { tensor: 5, graph: 6, tensors: 10, graphs: 11, sparseTensor: 22, sparseTensors: 23 };
const TENSOR = { externalData: 13, dataLocation: 14 };

/**
 * Looks through an ONNX file before anything runs it.
 * @throws Error saying what in it is not allowed: data in other files, graphs in graphs, functions, other operators
 */
export function checkOnnxFile(file: Uint8Array): void {
  let nodes = 0;
  for (const { field, bytes } of fieldsOf(file)) {
    if (field === MODEL.functions || field === MODEL.trainingInfo)
      throw new Error('the ONNX file has functions of its own');
    if (field !== MODEL.graph) continue;
    for (const part of fieldsOf(bytes)) {
      if (part.field === GRAPH.sparseInitializer) throw new Error('the ONNX file has sparse numbers');
      if (part.field === GRAPH.initializer) checkTensor(part.bytes);
      if (part.field !== GRAPH.node) continue;
      nodes += 1;
      checkNode(part.bytes);
    }
  }
  if (nodes === 0 || nodes > MAX_NODES) throw new Error(`the ONNX file has ${nodes} nodes`);
}

function checkNode(node: Uint8Array): void {
  const text = (wanted: number) =>
    Buffer.from(fieldsOf(node).findLast(({ field }) => field === wanted)?.bytes ?? []).toString();
  const operator = text(NODE.operator);
  const domain = text(NODE.domain);
  if (!OPERATORS.has(operator) || !DOMAINS.has(domain))
    throw new Error(`the ONNX file has an operator ${domain}:${operator}`);
  for (const { field, bytes } of fieldsOf(node)) {
    if (field !== NODE.attribute) continue;
    for (const part of fieldsOf(bytes)) {
      const { graph, graphs, sparseTensor, sparseTensors, tensor, tensors } = ATTRIBUTE;
      if ([graph, graphs, sparseTensor, sparseTensors].includes(part.field)) {
        throw new Error(`an operator ${operator} of the ONNX file has a graph in it`);
      }
      if (part.field === tensor || part.field === tensors) checkTensor(part.bytes);
    }
  }
}

function checkTensor(tensor: Uint8Array): void {
  for (const { field } of fieldsOf(tensor)) {
    if (field === TENSOR.externalData || field === TENSOR.dataLocation) {
      throw new Error('the ONNX file has data in another file');
    }
  }
}

interface Field {
  readonly field: number;
  /** Empty for a number. */
  readonly bytes: Uint8Array;
}

const NOTHING = new Uint8Array();

/** The fields of a protobuf message, in their order. */
function fieldsOf(message: Uint8Array): Field[] {
  const fields: Field[] = [];
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = message[at];
      if (byte === undefined) break;
      at += 1;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw new Error('the ONNX file is cut off');
  };
  while (at < message.length) {
    const tag = varint();
    const field = Math.floor(tag / 8);
    const wire = tag % 8;
    if (wire === 0) varint();
    const length = wire === 2 ? varint() : wire === 1 ? 8 : wire === 5 ? 4 : 0;
    if (wire === 3 || wire === 4 || wire > 5 || at + length > message.length) throw new Error('the ONNX file is none');
    fields.push({ field, bytes: length === 0 ? NOTHING : message.subarray(at, at + length) });
    at += length;
  }
  return fields;
}
