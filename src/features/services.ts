import type { FeastBridge } from '../feast/bridge.ts';
import { FeatureServices } from './feature-services.ts';
import { FeatureViewService } from './feature-views.ts';
import { FeatureRegistry } from './registry.ts';

/** The services of what stands in Feast's registry. */
export function featureServicesOn(bridge: Pick<FeastBridge, 'request'>) {
  const featureRegistry = new FeatureRegistry(bridge);
  return {
    featureRegistry,
    featureViews: new FeatureViewService(bridge, featureRegistry),
    featureServices: new FeatureServices(bridge, featureRegistry),
  };
}
