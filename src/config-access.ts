import { z } from 'zod';
import { list, onOff, wholeNumber } from './config-values.ts';
import { isLoopback } from './platform/loopback.ts';

/** What a client may send in a minute when a key is demanded; on loopback without one every program is one client. */
const DEFAULT_RATE_LIMIT = 6_000;

/** Who may reach the platform, and what it shows them. */
export interface AccessConfig {
  readonly host: string;
  /** What every face demands; absent only on loopback: whoever reaches the ports may use them. */
  readonly apiKey: string | undefined;
  /** Origins whose pages may call from a browser, such as `https://app.example`. */
  readonly allowedOrigins: readonly string[];
  /** Addresses and ranges of proxies that are believed for whom they speak. */
  readonly trustedProxies: readonly string[];
  /** Of one client; 0 for no limit. */
  readonly requestsPerMinute: number;
  readonly hasGraphiql: boolean;
  readonly hasIntrospection: boolean;
}

/** Visible characters, since it travels in a header; a job's token must not be taken for it. */
const apiKey = z
  .string()
  .regex(/^[\x21-\x7e]+$/, 'must be letters, digits and signs without blanks')
  .min(16, 'must have at least 16 characters')
  .max(512, 'must have at most 512 characters')
  .refine((key) => !/^asgard-job-/.test(key), 'must not begin as the tokens of jobs do');

const origins = list(
  (text) => /^https?:$/.test(URL.parse(text)?.protocol ?? '') && URL.parse(text)?.origin === text.toLowerCase(),
  'must be origins with commas between them, such as https://app.example or http://localhost:5173',
).transform((texts) => texts.map((text) => text.toLowerCase()));

const proxies = list(
  (text) => z.union([z.ipv4(), z.ipv6(), z.cidrv4(), z.cidrv6()]).safeParse(text).success,
  'must be addresses or ranges with commas between them, such as 10.0.0.0/8',
);

export const accessVariables = {
  HOST: z
    .union([z.ipv4(), z.ipv6(), z.hostname()], 'must be an address or a name of this machine')
    .default('127.0.0.1'),
  ASGARD_API_KEY: apiKey.optional(),
  ASGARD_ALLOWED_ORIGINS: origins.default([]),
  ASGARD_TRUSTED_PROXIES: proxies.default([]),
  ASGARD_RATE_LIMIT: wholeNumber(0, 999_999_999).optional(),
  ASGARD_GRAPHIQL: onOff.default(true),
  ASGARD_INTROSPECTION: onOff.default(true),
};

type AccessVariables = z.output<z.ZodObject<typeof accessVariables>>;

/** @returns what is wrong with listening on that host; undefined when nothing is */
export function hostTrouble({ HOST, ASGARD_API_KEY }: AccessVariables): string | undefined {
  if (isLoopback(HOST) || ASGARD_API_KEY !== undefined) return undefined;
  return 'can be reached from other machines: set ASGARD_API_KEY, or listen on 127.0.0.1';
}

export function accessConfig(value: AccessVariables): AccessConfig {
  return {
    host: value.HOST,
    apiKey: value.ASGARD_API_KEY,
    allowedOrigins: value.ASGARD_ALLOWED_ORIGINS,
    trustedProxies: value.ASGARD_TRUSTED_PROXIES,
    requestsPerMinute: value.ASGARD_RATE_LIMIT ?? (value.ASGARD_API_KEY === undefined ? 0 : DEFAULT_RATE_LIMIT),
    hasGraphiql: value.ASGARD_GRAPHIQL,
    hasIntrospection: value.ASGARD_INTROSPECTION,
  };
}
