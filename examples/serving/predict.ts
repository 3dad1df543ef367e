import { AsgardClient, AsgardRequestError } from '../../src/client/client.ts';

/*
 * Asks a model for predictions, and tells where they are from:
 * `npx node examples/serving/predict.ts churn_predictor@champion '{"age": [31, 45]}' http://localhost:8000`.
 */
const [modelName = 'churn_predictor', inputs = '{}', url = 'http://localhost:8000'] = process.argv.slice(2);
await using client = new AsgardClient({ url });

try {
  // While the model is UNAVAILABLE it is asked again, twice; after half a minute nobody waits for it any more.
  const signal = AbortSignal.timeout(30_000);
  const prediction = await client.predict({ modelName, inputs: JSON.parse(inputs) }, { signal, retries: 2 });
  const { predictions, modelVersion, engine, origin, timings } = prediction;
  console.log('predictions', JSON.stringify(predictions));
  console.log(
    `by version ${modelVersion}, ${engine}: ${timings.queueMs} ms until it began, ${timings.predictMs} ms then`,
  );

  if (origin.jobId !== null) {
    const { scriptName, completedAt } = await client.job(origin.jobId);
    console.log(`trained by ${scriptName}, job ${origin.jobId}, until ${completedAt}`);
  }

  const { check, compilation, served } = await client.modelVersion(prediction.modelName, modelVersion);
  console.log(`tried with ${check?.exampleSource}: loaded in ${check?.loadSeconds} s, predicts in ${check?.p50Ms} ms`);
  console.log(`compilation: ${compilation?.status}`, compilation?.refusal ?? compilation?.proof ?? '');
  console.log(`in memory: ${served?.memoryBytes} bytes, ${served?.waitingRequests} requests wait`);
} catch (error) {
  if (!(error instanceof AsgardRequestError)) throw error;
  // Its code is one of a closed list; what is wrong with the input names the column and the row.
  console.error(`${error.code}: ${error.message}`);
  for (const { path, message } of error.issues) console.error(`  ${path.join('.')}: ${message}`);
  process.exitCode = 1;
}
