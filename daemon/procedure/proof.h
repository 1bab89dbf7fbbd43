/* What is lost, what is not, and how that is known: decided before the candidate is opened. */
#pragma once

#include "step.h"

/* Learns "loss": {"verdict": "none"|"lost"|"unknown", "proof", "details": […]}. */
void decide_nothing_missing(const Facts *facts, Judgement *judgement);
