import type { Prediction } from '../../inference/service.ts';
import type { VersionDescription } from '../../inference/version-description.ts';
import type { SignaturePart } from '../../inference/version-signature.ts';
import { writeElements } from './binary.ts';
import { datatypeOf } from './datatypes.ts';
import { type OutputTensor, PREDICTIONS } from './output-tensors.ts';
import type { AnswerOutput, InferRequest } from './wire.ts';

/** The input of a model that knows no names of columns. */
const INPUT = 'input';

/** The answer to a request, and the bytes of those tensors that it wants in binary form, in the order of the answer. */
export function presentInference(
  { modelName, modelVersion }: Pick<Prediction, 'modelName' | 'modelVersion'>,
  tensors: readonly OutputTensor[],
  { id, outputs, parameters }: InferRequest,
) {
  const bytes: Buffer[] = [];
  const answers = tensors.map(({ name, datatype, shape, elements }): AnswerOutput => {
    const asked = outputs?.find((output) => output.name === name)?.parameters?.binary_data;
    const tensor = { name, datatype, shape: [...shape] };
    if (!(asked ?? parameters?.binary_data_output ?? false)) return { ...tensor, data: [...elements] };
    const written = writeElements(elements, datatype);
    bytes.push(written);
    return { ...tensor, parameters: { binary_data_size: written.length } };
  });
  const named = { model_name: modelName, model_version: modelVersion, ...(id != null && { id }) };
  return { answer: { ...named, outputs: answers }, bytes };
}

/** What a model takes and gives, as the protocol's metadata. @param versions numbers of those that are served */
export function presentDescription(
  { name, version, columns, signature }: VersionDescription,
  versions: readonly string[],
) {
  const { inputs, outputs } = signature;
  const given = inputs ?? columns?.map((column) => ({ ...column, rowShape: [] }));
  return {
    name,
    versions,
    platform: 'mlflow_pyfunc',
    // Without names any number of columns is all that is known.
    inputs: (given ?? [{ name: null, type: null, rowShape: [-1] }]).map((part) => presentTensor(part, INPUT)),
    outputs: (outputs ?? [{ name: null, type: null, rowShape: [] }]).map((part) => presentTensor(part, PREDICTIONS)),
    parameters: { version },
  };
}

function presentTensor({ name, type, rowShape }: SignaturePart, unnamed: string) {
  const datatype = datatypeOf(type);
  const tensor = { name: name ?? unnamed, datatype: datatype ?? 'FP64', shape: [-1, ...rowShape] } as const;
  return datatype === null ? { ...tensor, parameters: { is_datatype_known: false } as const } : tensor;
}
