"""How often verdicts are wrong, and how often they are reached: every kind of criterion, simulated.

`noise` makes the differences between arms, `setups` the arms of each kind around them, `simulate`
judges them, `record` holds the counts; `page` and `figure` show them.
"""
