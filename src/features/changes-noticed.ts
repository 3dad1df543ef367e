import type { FeastBridge } from '../feast/bridge.ts';

type Bridge = Pick<FeastBridge, 'request'>;

/** The requests that change the registry. */
const CHANGES = /^(views|services|entities)\.(apply|delete)$/;

/** The bridge, for those who change the registry: `onChange` runs after each change, also one that may have failed halfway. */
export function changesNoticed(bridge: Bridge, onChange: () => void): Bridge {
  return {
    request: async (method, params, schema, options) => {
      try {
        return await bridge.request(method, params, schema, options);
      } finally {
        if (CHANGES.test(method)) onChange();
      }
    },
  };
}
