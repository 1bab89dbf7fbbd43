/* The failover: what is done when a primary is dead. */
#pragma once

#include "step.h"

extern const Procedure failover;
