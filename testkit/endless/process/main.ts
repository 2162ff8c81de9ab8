import { openServerLink } from '../../../src/core/process/helper-child.ts';

/** A helper that the first message sends into a loop without end, as broken native code would. */
const link = openServerLink(() => {
  link.send({ type: 'caught' });
  for (;;);
});
