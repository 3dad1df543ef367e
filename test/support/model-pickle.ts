/**
 * A pickle of what Python source names `model`: whatever unpickles it runs the source.
 * It is text, since pickle's first protocol is.
 */
export function modelPickle(source: string): string {
  const made = `(lambda names: (exec(${JSON.stringify(source)}, names), names["model"])[1])({})`;
  return `cbuiltins\neval\n(V${made}\ntR.`;
}

/** A model that answers one value whatever it is asked. */
export function constantModel(value: number): string {
  return modelPickle(`
import types
model = types.SimpleNamespace(predict=lambda frame: [${value}] * len(frame))
`);
}
