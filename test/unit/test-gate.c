#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gate.h"

static char order[32];
static size_t n;

typedef struct Guest {
        GatePass *pass;
        char name;
} Guest;

static void admitted(void *userdata)
{
        const Guest *guest = userdata;
        order[n++] = guest->name;
        order[n] = '\0';
}

static void turn(Loop *loop)
{
        for (int i = 0; i < 20; i++)
                (void) loop_turn(loop, 0);
}

static void test_gate(void **state)
{
        Loop *loop;
        assert_int_equal(loop_new(&loop), 0);
        Gate *gate = gate_new(loop, 2);
        Guest guests[5];
        for (int i = 0; i < 5; i++) {
                guests[i].name = (char) ('a' + i);
                guests[i].pass = gate_pass_new(gate, admitted, &guests[i]);
                gate_enter(guests[i].pass);
        }
        assert_int_equal(n, 0); /* never from inside a call */
        turn(loop);
        assert_string_equal(order, "ab");
        gate_enter(guests[0].pass); /* is inside */
        gate_enter(guests[3].pass); /* waits */
        gate_leave(guests[2].pass); /* out of the middle of the queue */
        turn(loop);
        assert_string_equal(order, "ab");
        gate_leave(guests[0].pass);
        gate_leave(guests[0].pass);
        turn(loop);
        assert_string_equal(order, "abd");
        gate_enter(guests[0].pass); /* behind e */
        guests[1].pass = gate_pass_free(guests[1].pass);
        turn(loop);
        assert_string_equal(order, "abde");
        gate_leave(guests[3].pass);
        turn(loop);
        assert_string_equal(order, "abdea");
        for (int i = 0; i < 5; i++)
                gate_pass_free(guests[i].pass);
        gate_free(gate);
        loop_free(loop);
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_gate) };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
