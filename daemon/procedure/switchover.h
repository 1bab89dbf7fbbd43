/* The switchover: a healthy primary hands its role over. */
#pragma once

#include "step.h"

extern const Procedure switchover;
