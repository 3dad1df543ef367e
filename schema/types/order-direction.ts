import { builder } from '../builder.ts';

const OrderDirection = builder.enumType('OrderDirection', {
  description: 'From which end an order begins.',
  values: {
    ASC: { description: 'The smallest, the oldest or the first of the alphabet first.' },
    DESC: { description: 'The largest, the newest or the last of the alphabet first.' },
  } as const,
});

/** The `direction` of every input that orders a list, for use as its field's options. */
export function directionField(defaultValue: 'ASC' | 'DESC') {
  return {
    type: OrderDirection,
    required: true,
    defaultValue,
    description: 'From which end of that order the list begins.',
  } as const;
}
