import { createTheme } from "@mantine/core";

/** Transition of dialogs and drawers: opacity and four pixels, 160 ms. */
const dialogTransition = { transition: "fade-up" as const, duration: 160, timingFunction: "ease-out" };

/**
 * Mantine's theme. Colors, type and radii are CSS variables in tokens.css; this file holds only the default properties
 * that Mantine reads from JavaScript. Scroll locks are off, because they add a style element, which the content security
 * policy forbids.
 */
export const theme = createTheme({
  primaryColor: "blue",
  cursorType: "pointer",
  respectReducedMotion: true,
  components: {
    Button: { defaultProps: { size: "xs", variant: "default" } },
    ActionIcon: { defaultProps: { size: 28, variant: "subtle", color: "gray" } },
    TextInput: { defaultProps: { size: "xs" } },
    PasswordInput: { defaultProps: { size: "xs" } },
    NumberInput: { defaultProps: { size: "xs" } },
    Textarea: { defaultProps: { size: "xs" } },
    Select: { defaultProps: { size: "xs", allowDeselect: false, comboboxProps: { shadow: "md" } } },
    MultiSelect: { defaultProps: { size: "xs" } },
    TagsInput: { defaultProps: { size: "xs" } },
    Checkbox: { defaultProps: { size: "xs" } },
    Switch: { defaultProps: { size: "xs" } },
    SegmentedControl: { defaultProps: { size: "xs" } },
    Tooltip: { defaultProps: { openDelay: 250, withArrow: false, multiline: true } },
    Menu: { defaultProps: { shadow: "md", position: "bottom-end", transitionProps: { duration: 120 } } },
    Popover: { defaultProps: { shadow: "md", transitionProps: { duration: 120 } } },
    Modal: {
      defaultProps: {
        lockScroll: false,
        centered: true,
        size: 440,
        radius: 10,
        transitionProps: dialogTransition,
        closeButtonProps: { "aria-label": "Close" },
      },
    },
    Drawer: {
      defaultProps: {
        lockScroll: false,
        size: 480,
        position: "right",
        transitionProps: { transition: "fade-left", duration: 160 },
        closeButtonProps: { "aria-label": "Close" },
      },
    },
  },
});
