/** The address of the platform's events service, as the sandbox sees it. */
export interface Hyperloop {
  /**
   * Maps `events.e2b.local` to the address in the hosts file, then sets the internal variable E2B_EVENTS_ADDRESS
   * (contract F16). Calls take effect in their order, and the newest one counts. What goes wrong is logged: never rejects.
   */
  set(ip: string): Promise<void>
}
