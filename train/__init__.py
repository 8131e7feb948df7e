"""Fine-tuning on a stream of view pairs.

`train.loop` takes the steps, each step is `train.step.Stepper.take`, and the loss is `train.loss.pair_losses`.
"""
