import { builder } from '../builder.ts';

export const OrderDirection = builder.enumType('OrderDirection', {
  description: 'From which end an order begins.',
  values: {
    ASC: { description: 'The smallest, the oldest or the first of the alphabet first.' },
    DESC: { description: 'The largest, the newest or the last of the alphabet first.' },
  } as const,
});
